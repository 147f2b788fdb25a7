-- CreateTable
CREATE TABLE "kernel_times" (
    "host" TEXT NOT NULL,
    "kernel" TEXT NOT NULL,
    "times" JSONB NOT NULL,
    "written_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "kernel_times_pkey" PRIMARY KEY ("host","kernel")
);

-- CreateIndex
CREATE INDEX "kernel_times_host_written_at_idx" ON "kernel_times"("host", "written_at");

-- CreateIndex
CREATE INDEX "kernel_times_written_at_idx" ON "kernel_times"("written_at");

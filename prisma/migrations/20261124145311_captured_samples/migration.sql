-- CreateTable
CREATE TABLE "captured_samples" (
    "deployment_id" TEXT NOT NULL,
    "key" DOUBLE PRECISION NOT NULL,
    "arrays" JSONB NOT NULL,
    "data" BYTEA NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "captured_samples_pkey" PRIMARY KEY ("deployment_id","key")
);

-- AddForeignKey
ALTER TABLE "captured_samples" ADD CONSTRAINT "captured_samples_deployment_id_fkey" FOREIGN KEY ("deployment_id") REFERENCES "deployments"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Tensors hardly compress, and would be for nothing on the way in and out.
ALTER TABLE "captured_samples" ALTER COLUMN "data" SET STORAGE EXTERNAL;

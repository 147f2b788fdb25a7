-- AlterTable
ALTER TABLE "deployments" ADD COLUMN     "canary" JSONB;

-- CreateTable
CREATE TABLE "deployment_figures" (
    "deployment_id" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "server_id" TEXT NOT NULL,
    "figures" JSONB NOT NULL,
    "written_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "deployment_figures_pkey" PRIMARY KEY ("deployment_id","version","server_id")
);

-- CreateIndex
CREATE INDEX "deployment_figures_written_at_idx" ON "deployment_figures"("written_at");

-- AddForeignKey
ALTER TABLE "deployment_figures" ADD CONSTRAINT "deployment_figures_deployment_id_version_fkey" FOREIGN KEY ("deployment_id", "version") REFERENCES "deployment_versions"("deployment_id", "version") ON DELETE CASCADE ON UPDATE CASCADE;

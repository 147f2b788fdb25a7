-- AlterTable
ALTER TABLE "deployments" ADD COLUMN     "loaded" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "policy" JSONB NOT NULL DEFAULT '{}';

-- AlterTable
ALTER TABLE "models" ADD COLUMN     "golden" JSONB;

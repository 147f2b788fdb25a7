-- CreateEnum
CREATE TYPE "job_state" AS ENUM ('queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled', 'expired');

-- CreateTable
CREATE TABLE "blobs" (
    "id" TEXT NOT NULL,
    "sha256" TEXT,
    "size_bytes" BIGINT NOT NULL,
    "chunk_bytes" INTEGER NOT NULL,
    "sealed_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "touched_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "blobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "blob_chunks" (
    "blob_id" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "blob_chunks_pkey" PRIMARY KEY ("blob_id","seq")
);

-- CreateTable
CREATE TABLE "blob_references" (
    "owner_kind" TEXT NOT NULL,
    "owner_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "position" INTEGER NOT NULL,

    CONSTRAINT "blob_references_pkey" PRIMARY KEY ("owner_kind","owner_id","name")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "scopes" TEXT[],
    "expires_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "models" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "signature" JSONB NOT NULL,
    "admission" JSONB,
    "session" JSONB NOT NULL DEFAULT '{}',
    "parent_id" TEXT,
    "job_id" TEXT,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "models_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "datasets" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "schema" JSONB NOT NULL,
    "samples" INTEGER NOT NULL,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "datasets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recipes" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "body" JSONB NOT NULL,
    "sha256" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recipes_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "jobs" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "model_id" TEXT NOT NULL,
    "recipe" JSONB NOT NULL,
    "datasets" JSONB NOT NULL,
    "target" JSONB NOT NULL,
    "gates" TEXT[],
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "webhook" TEXT,
    "state" "job_state" NOT NULL DEFAULT 'queued',
    "stage" TEXT,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "max_attempts" INTEGER NOT NULL DEFAULT 3,
    "host_id" TEXT,
    "lease_expires_at" TIMESTAMPTZ(3),
    "not_before" TIMESTAMPTZ(3),
    "deadline_at" TIMESTAMPTZ(3),
    "cancel_requested_at" TIMESTAMPTZ(3),
    "cancel_reason" TEXT,
    "queue" TEXT NOT NULL,
    "progress" JSONB,
    "placement" JSONB,
    "verdict" JSONB,
    "warnings" JSONB NOT NULL DEFAULT '[]',
    "error" JSONB,
    "result_model_id" TEXT,
    "retry_of" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "last_event_seq" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_attempts" (
    "job_id" TEXT NOT NULL,
    "n" INTEGER NOT NULL,
    "project" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "reason" TEXT,
    "host_id" TEXT,
    "pid" INTEGER,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "job_attempts_pkey" PRIMARY KEY ("job_id","n")
);

-- CreateTable
CREATE TABLE "job_stages" (
    "job_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "position" INTEGER NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "notes" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "job_stages_pkey" PRIMARY KEY ("job_id","attempt","position")
);

-- CreateTable
CREATE TABLE "job_events" (
    "job_id" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "project" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_events_pkey" PRIMARY KEY ("job_id","seq")
);

-- CreateTable
CREATE TABLE "job_candidates" (
    "id" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "model_id" TEXT,
    "options" JSONB NOT NULL,
    "measurement" JSONB NOT NULL,
    "quality" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_candidates_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stage_cache" (
    "key" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "result" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "used_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "stage_cache_pkey" PRIMARY KEY ("project","key")
);

-- CreateTable
CREATE TABLE "deployments" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "active" INTEGER NOT NULL,
    "traffic" JSONB NOT NULL DEFAULT '{}',
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "deployments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "deployment_versions" (
    "deployment_id" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "project" TEXT NOT NULL,
    "model_id" TEXT NOT NULL,
    "job_id" TEXT,
    "options" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "deployment_versions_pkey" PRIMARY KEY ("deployment_id","version")
);

-- CreateTable
CREATE TABLE "deployment_replicas" (
    "deployment_id" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "server_id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "error" JSONB,
    "url" TEXT NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "deployment_replicas_pkey" PRIMARY KEY ("deployment_id","version","server_id")
);

-- CreateTable
CREATE TABLE "hosts" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL DEFAULT '*',
    "name" TEXT NOT NULL,
    "inventory" JSONB NOT NULL,
    "queues" TEXT[],
    "slots" INTEGER NOT NULL,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "draining" BOOLEAN NOT NULL DEFAULT false,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "current_jobs" TEXT[],

    CONSTRAINT "hosts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_keys" (
    "project" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "response" JSONB,
    "owner" TEXT NOT NULL,
    "lease_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("project","key")
);

-- CreateTable
CREATE TABLE "webhooks" (
    "id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "events" TEXT[],
    "secret" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_deliveries" (
    "id" TEXT NOT NULL,
    "webhook_id" TEXT NOT NULL,
    "project" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'pending',
    "tries" INTEGER NOT NULL DEFAULT 0,
    "next_try_at" TIMESTAMPTZ(3),
    "last_status" INTEGER,
    "last_error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "blobs_sha256_key" ON "blobs"("sha256");

-- CreateIndex
CREATE INDEX "blobs_touched_at_idx" ON "blobs"("touched_at");

-- CreateIndex
CREATE INDEX "blob_references_sha256_idx" ON "blob_references"("sha256");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_hash_key" ON "api_keys"("hash");

-- CreateIndex
CREATE INDEX "api_keys_project_id_idx" ON "api_keys"("project", "id");

-- CreateIndex
CREATE INDEX "models_project_id_idx" ON "models"("project", "id");

-- CreateIndex
CREATE INDEX "models_project_name_idx" ON "models"("project", "name");

-- CreateIndex
CREATE INDEX "models_job_id_idx" ON "models"("job_id");

-- CreateIndex
CREATE INDEX "datasets_project_id_idx" ON "datasets"("project", "id");

-- CreateIndex
CREATE INDEX "datasets_project_name_idx" ON "datasets"("project", "name");

-- CreateIndex
CREATE INDEX "recipes_project_id_idx" ON "recipes"("project", "id");

-- CreateIndex
CREATE UNIQUE INDEX "recipes_project_name_version_key" ON "recipes"("project", "name", "version");

-- CreateIndex
CREATE INDEX "jobs_project_id_idx" ON "jobs"("project", "id");

-- CreateIndex
CREATE INDEX "jobs_state_queue_idx" ON "jobs"("state", "queue");

-- CreateIndex
CREATE INDEX "jobs_state_lease_expires_at_idx" ON "jobs"("state", "lease_expires_at");

-- CreateIndex
CREATE INDEX "jobs_model_id_idx" ON "jobs"("model_id");

-- CreateIndex
CREATE INDEX "job_candidates_job_id_idx" ON "job_candidates"("job_id");

-- CreateIndex
CREATE INDEX "stage_cache_used_at_idx" ON "stage_cache"("used_at");

-- CreateIndex
CREATE INDEX "deployments_project_id_idx" ON "deployments"("project", "id");

-- CreateIndex
CREATE INDEX "deployment_versions_model_id_idx" ON "deployment_versions"("model_id");

-- CreateIndex
CREATE INDEX "deployment_replicas_seen_at_idx" ON "deployment_replicas"("seen_at");

-- CreateIndex
CREATE INDEX "hosts_heartbeat_at_idx" ON "hosts"("heartbeat_at");

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "idempotency_keys"("created_at");

-- CreateIndex
CREATE INDEX "webhooks_project_id_idx" ON "webhooks"("project", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_state_next_try_at_idx" ON "webhook_deliveries"("state", "next_try_at");

-- AddForeignKey
ALTER TABLE "blob_chunks" ADD CONSTRAINT "blob_chunks_blob_id_fkey" FOREIGN KEY ("blob_id") REFERENCES "blobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "blob_references" ADD CONSTRAINT "blob_references_sha256_fkey" FOREIGN KEY ("sha256") REFERENCES "blobs"("sha256") ON DELETE RESTRICT ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "job_attempts" ADD CONSTRAINT "job_attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_stages" ADD CONSTRAINT "job_stages_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_candidates" ADD CONSTRAINT "job_candidates_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment_versions" ADD CONSTRAINT "deployment_versions_deployment_id_fkey" FOREIGN KEY ("deployment_id") REFERENCES "deployments"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment_replicas" ADD CONSTRAINT "deployment_replicas_deployment_id_version_fkey" FOREIGN KEY ("deployment_id", "version") REFERENCES "deployment_versions"("deployment_id", "version") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What the schema language cannot say.

-- Model weights do not compress: store them out of line as they are, so that writing costs no CPU and substring() reads only its part.
ALTER TABLE "blob_chunks" ALTER COLUMN "data" SET STORAGE EXTERNAL;

-- `/v2/models/{name}` has no project in its path, so live names are unique over all of them.
CREATE UNIQUE INDEX "deployments_live_name_key" ON "deployments"("name") WHERE "deleted_at" IS NULL;

-- Queue positions and the reconciler look at queued jobs only, among many that have ended.
CREATE INDEX "jobs_queued_idx" ON "jobs"("queue", "id") WHERE "state" = 'queued';

-- The delivery loop looks at what is due, among all that was delivered.
CREATE INDEX "webhook_deliveries_due_idx" ON "webhook_deliveries"("next_try_at") WHERE "state" = 'pending';

import { defineConfig } from 'vitest/config'

// unit: no service, no network. service: real Postgres, Redis, child processes. e2e: the whole product over HTTP.
const project = (
  name: string,
  include: string[],
  exclude: string[],
  testTimeout: number,
  globalSetup: string[] = [],
) => ({
  test: { name, include, exclude, testTimeout, hookTimeout: 120_000, pool: 'forks' as const, globalSetup },
})
const services = ['test/support/postgres.ts']

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('unit', ['test/**/*.test.ts'], ['test/**/*.service.test.ts', 'test/e2e/**'], 30_000),
      project('service', ['test/**/*.service.test.ts'], ['test/e2e/**'], 120_000, services),
      project('e2e', ['test/e2e/**/*.test.ts'], [], 300_000, services),
    ],
  },
})

import { Command, InvalidArgumentError, Option } from 'commander'
import { loadConfig, printConfig } from './config.ts'
import { reportFailure, runRole } from './roles/lifecycle.ts'

const roles = {
  start: {
    summary: 'every role, over an embedded Postgres unless DATABASE_URL is set',
    load: async () => (await import('./roles/start.ts')).startAll,
  },
  api: { summary: 'the control plane: /v1, docs', load: async () => (await import('./roles/api.ts')).startApi },
  serve: { summary: 'the data plane: /v2', load: async () => (await import('./roles/serve.ts')).startServe },
  worker: {
    summary: 'takes jobs for the devices of this host',
    load: async () => (await import('./roles/worker.ts')).startWorkerRole,
  },
} as const

const program = new Command('hasten')
  .description('Makes ONNX models answer faster, proves it, and serves the result.')
  .showHelpAfterError()

for (const [name, { summary, load }] of Object.entries(roles)) {
  program
    .command(name)
    .description(summary)
    .action(async () => runRole(name, await load()))
}

program
  .command('run')
  .description(
    'upload a model, run a recipe on it, print the evidence (exit 0 a better model passed every gate, 2 the original stays, 1 error)',
  )
  .argument('<model>', 'an .onnx file, an archive with external data, or a model id')
  .requiredOption('-r, --recipe <recipe>', 'name or id of a recipe, for example int8-static')
  .option('--train <npz>', 'samples to train on: an .npz file or a dataset id')
  .option('-c, --calibration <npz>', 'samples to calibrate with: an .npz file or a dataset id')
  .option('-e, --eval <npz>', 'samples to judge quality with, labels under `labels`')
  .option('-g, --gate <expression>', 'what must hold, for example "p50 <= 0.8 * baseline"; repeatable', collect, [])
  .option('-n, --name <name>', 'name of the model')
  .addOption(new Option('-d, --device <device>', 'device class').default('cpu'))
  .option('-t, --threads <n>', 'threads inside one run', positiveInteger, 1)
  .option('-b, --batch <n>', 'samples of one run', positiveInteger, 1)
  .option('--deadline <duration>', 'give up after this long, for example 30m')
  .option('-o, --report <path>', 'where the report goes, without its suffix', 'hasten-report')
  .action(async (model: string, options) => {
    const [{ createClient }, { runJob }] = await Promise.all([import('./cli/client.ts'), import('./cli/run.ts')])
    const { exitCode } = await runJob(await createClient(loadConfig()), model, options)
    process.exitCode = exitCode
  })

program
  .command('deploy')
  .description('put a model, or the result of a job, behind /v2/models/{name}')
  .argument('<source>', 'a job id or a model id')
  .requiredOption('-n, --name <name>', 'name of the deployment')
  .action(async (source: string, { name }: { name: string }) => {
    const [{ createClient }, { deploy }] = await Promise.all([import('./cli/client.ts'), import('./cli/deploy.ts')])
    print(`ready → POST ${await deploy(await createClient(loadConfig()), source, name)}`)
  })

const keys = program.command('keys').description('API keys, made on the database itself')

keys
  .command('create')
  .requiredOption('-n, --name <name>', 'what the key is for')
  .option('-p, --project <project>', 'project the key sees', 'default')
  .option('-s, --scopes <list>', 'comma-separated scopes', 'admin')
  .option('--days <n>', 'days until it expires', positiveInteger)
  .description('make a key; its secret is printed once')
  .action(async ({ scopes, ...options }: { name: string; project: string; scopes: string; days?: number }) => {
    const { createKey } = await import('./cli/keys.ts')
    print(await createKey(loadConfig(), { ...options, scopes: scopes.split(',') }))
  })

keys
  .command('list')
  .option('-p, --project <project>', 'project', 'default')
  .description('list the keys of a project')
  .action(async ({ project }: { project: string }) => {
    const { listKeys } = await import('./cli/keys.ts')
    print(await listKeys(loadConfig(), project))
  })

keys
  .command('revoke')
  .argument('<id>', 'id of the key')
  .option('-p, --project <project>', 'project', 'default')
  .description('revoke a key')
  .action(async (id: string, { project }: { project: string }) => {
    const { revokeKey } = await import('./cli/keys.ts')
    await revokeKey(loadConfig(), project, id)
  })

program
  .command('doctor')
  .description('check what this machine has and what answers')
  .action(async () => {
    const { diagnose } = await import('./cli/doctor.ts')
    process.exitCode = await diagnose(loadConfig())
  })

program
  .command('print-config')
  .description('print every setting as it is now, secrets hidden')
  .action(() => print(printConfig(loadConfig()).join('\n')))

function collect(value: string, previous: string[]): string[] {
  return [...previous, value]
}

function positiveInteger(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('expected a whole number from 1')
  return Number(value)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

await program.parseAsync().catch(reportFailure)

// Completes package-lock.json with the builds of other platforms. Native packages come as one optional package a
// platform; a registry mirror that lacks some of them makes npm leave those out of the lock, and `npm ci` then refuses it
// everywhere. Run it after `npm install` when `npm ci` complains of missing packages.
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))

const systems = ['darwin', 'linux', 'win32', 'freebsd', 'android', 'openharmony']
const processors = { arm64: 'arm64', aarch64: 'arm64', x64: 'x64', ia32: 'ia32', riscv64: 'riscv64', s390x: 's390x' }
const otherProcessors = { ppc64: 'ppc64', armv7: 'arm', arm: 'arm' }

/** Which machines a build is for, as its name says: `@oxlint/binding-linux-arm64-musl`. */
function platformOf(name) {
  const words = name.split('/').pop().split('-')
  const cpu = { ...processors, ...otherProcessors }
  return {
    os: words.filter((word) => systems.includes(word)),
    cpu: words.map((word) => cpu[word]).filter((word) => word !== undefined),
  }
}

const added = []
for (const owner of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    const { os, cpu } = platformOf(name)
    if (`node_modules/${name}` in lock.packages || os.length === 0) continue
    const dev = owner.dev === true ? { dev: true } : {}
    lock.packages[`node_modules/${name}`] = { version: version.replace(/^[\^~]/, ''), cpu, ...dev, optional: true, os }
    added.push(name)
  }
}
const root = lock.packages['']
const rest = Object.entries(lock.packages).filter(([key]) => key !== '')
lock.packages = { '': root, ...Object.fromEntries(rest.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`)
process.stdout.write(`${added.length} builds added\n`)

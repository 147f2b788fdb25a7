/** The attempt no longer owns its job: another one does, or the job is over. What it did counts for nothing. */
export class SupersededError extends Error {
  constructor() {
    super('another attempt owns the job')
    this.name = 'SupersededError'
  }
}

/** Passes the answer of a fenced write on, unless the fence refused it. @throws SupersededError */
export function mustOwn<T>(written: T | undefined | false): T {
  if (written === undefined || written === false) throw new SupersededError()
  return written
}

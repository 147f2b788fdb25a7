/** Device classes a job may ask for; each is a queue that the workers with that hardware listen on. */
export const deviceClasses = ['cpu', 'cuda'] as const

export type DeviceClass = (typeof deviceClasses)[number]

/** The queue only one host listens on: a follow-up measurement is pinned to the host of its baseline by it. */
export function hostQueue(hostId: string): string {
  return `host-${hostId}`
}

/** Which queue a job's target goes to: its host's own when one is named, else that of its device class. */
export function queueOf(target: { readonly device: DeviceClass; readonly host?: string | null | undefined }): string {
  return target.host === undefined || target.host === null ? target.device : hostQueue(target.host)
}

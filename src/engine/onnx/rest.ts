import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf'

/**
 * A shallow copy of a message without the fields that the IR models: unknown fields and everything else stay. The
 * IR carries it as `opaque`, and encoding starts from it.
 */
export function withoutFields<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  modelled: readonly (keyof MessageShape<D>)[],
): MessageShape<D> {
  const rest = create<D>(schema)
  for (const key of Object.keys(message) as (keyof MessageShape<D>)[]) {
    if (!modelled.includes(key)) rest[key] = message[key]
  }
  return rest
}

/** A copy to fill in: what was carried, or an empty message. */
export function startFrom<D extends DescMessage>(schema: D, carried: unknown): MessageShape<D> {
  return carried === undefined ? create<D>(schema) : withoutFields(schema, carried as MessageShape<D>, [])
}

/** Sets a field unless it reads so already, so that a field that was absent and stays empty stays absent. */
export function setField<T, K extends keyof T>(message: T, key: K, value: T[K]): void {
  if (message[key] !== value) message[key] = value
}

import { createSlots, type OrtApi } from './api.ts'
import { decodeString, readPointers } from './native-strings.ts'

/** Session configuration entry without which `countNodes` has nothing to read. */
export const recordPlacement = 'session.record_ep_graph_assignment_info'

/**
 * How many nodes each execution provider took when the model was loaded, by its name. Nodes are counted as they were
 * given out, before the last optimizations of each provider.
 */
export function countNodes(api: OrtApi, session: bigint): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const part of readList(api, 'SessionGetEpGraphAssignmentInfo', session)) {
    const provider = decodeString(api.get('EpAssignedSubgraphGetEpName', part))
    counts[provider] = (counts[provider] ?? 0) + readList(api, 'EpAssignedSubgraphGetNodes', part).length
  }
  return counts
}

/** Pointers that belong to `owner`. */
function readList(
  api: OrtApi,
  name: 'SessionGetEpGraphAssignmentInfo' | 'EpAssignedSubgraphGetNodes',
  owner: bigint,
): BigUint64Array {
  const [list, count] = [createSlots(1), createSlots(1)]
  api.call(name, owner, list, count)
  return readPointers(list[0] ?? 0n, Number(count[0]))
}

import { checkTensorNames, type StoredSignature } from './traffic-tensors.ts'
import { checkTraffic, trafficError, versionsOfTraffic, type Storage, type Traffic } from '../../../storage/index.ts'

interface WantedTraffic {
  readonly active: number
  readonly traffic: Traffic
  /** Model of each version. */
  readonly models: ReadonlyMap<number, string>
}

/**
 * The traffic must fit the versions, and a request for one of them must be a request for each.
 * @throws HastenError `invalid_request`
 */
export async function checkTrafficOf(
  { models: stored }: Pick<Storage, 'models'>,
  project: string,
  { active, traffic, models }: WantedTraffic,
): Promise<void> {
  checkTraffic(traffic, { active, versions: new Set(models.keys()) })
  const named = versionsOfTraffic(traffic)
  if (named.length === 0 && traffic.capture === undefined) return
  const signatureOf = async (version: number) => {
    const model = await stored.find(project, models.get(version) ?? '')
    return model?.signature as unknown as StoredSignature | undefined
  }
  const expected = await signatureOf(active)
  if (expected !== undefined) checkTensorNames(traffic, expected)
  for (const { version, pointer } of named) {
    const given = version === active ? expected : await signatureOf(version)
    const difference = expected && given && findDifference(expected, given)
    if (difference === undefined) continue
    throw trafficError(
      pointer,
      `version ${version} can't stand in for version ${active}, the active one: ${difference}`,
    )
  }
}

/** What tells two signatures apart; the names of open dims and the order do not. */
function findDifference(expected: StoredSignature, given: StoredSignature): string | undefined {
  for (const side of ['inputs', 'outputs'] as const) {
    const [wanted, found] = [describe(expected[side]), describe(given[side])]
    if (wanted !== found) return `its ${side} are ${found}, not ${wanted}`
  }
  return undefined
}

function describe(infos: StoredSignature['inputs']): string {
  const texts = infos.map(({ name, dtype, dims, dynamic_rank }) => {
    const shape = dims.map((dim) => (typeof dim === 'number' ? dim : '?')).join(', ')
    return `${name}: ${dtype}[${dynamic_rank === true ? '…' : shape}]`
  })
  return texts.toSorted().join(', ')
}

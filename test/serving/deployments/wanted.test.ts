import { expect, test } from 'vitest'
import { wantedVersions } from '../../../src/serving/deployments/wanted.ts'
import { deploymentRow, versionRow } from './support.ts'

const row = { ...deploymentRow, active: 3, versions: [1, 2, 3, 4, 5].map(versionRow) }
const shadow = { shadow: { version: 1, share: 0.5 } }

test.each([
  ['the active version', {}, [3]],
  ['those of traffic', { traffic: shadow }, [3, 1]],
  ['the newest', { policy: { latest: 2 } }, [3, 5, 4]],
  ['more of the newest than there are', { policy: { latest: 9 } }, [3, 5, 4, 2, 1]],
  ['those that are named and there', { policy: { specific: [2, 3, 8] } }, [3, 2]],
  ['all', { policy: { all: true }, traffic: shadow }, [3, 1, 2, 4, 5]],
  ['what a policy of a newer release cannot say', { policy: { newest: 2, latest: 'two' } }, [3]],
  ['nothing', { loaded: false, policy: { all: true }, traffic: shadow }, []],
] as const)('wanted is %s', (_, over, versions) => {
  expect(wantedVersions({ ...row, ...over })).toEqual(versions)
})

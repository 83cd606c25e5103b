/** The status is what one node knows about the cluster. */

import { malformed } from '../../base/bytes.ts'
import type { NodeStatus } from '../../cluster/status.ts'
import { OPERATION } from '../../wire/request.ts'
import type { CallOptions, ClusterStatus } from '../contract.ts'
import { readJson } from './json.ts'
import { ANY_NODE, Operation, type Verb } from './route/operation.ts'
import type { Router } from './route/router.ts'

const STATUS: Verb<ClusterStatus> = {
  operation: OPERATION.status,
  isWrite: false,
  encode(): void {},
  decode(bytes: Uint8Array): ClusterStatus {
    const status = readJson(bytes, 'a status')
    if (!isStatus(status)) throw malformed('a status lacks members or groups')
    return status
  },
}

export function askStatus(router: Router, options: CallOptions): Promise<ClusterStatus> {
  return router.submit(new Operation(STATUS, { group: ANY_NODE }), options)
}

/** Engine and driver are of one version or have agreed on one, so its shape is taken on trust beyond this: what an engine writes. */
function isStatus(status: unknown): status is NodeStatus {
  if (typeof status !== 'object' || status === null) return false
  return 'members' in status && Array.isArray(status.members) && 'groups' in status && Array.isArray(status.groups)
}

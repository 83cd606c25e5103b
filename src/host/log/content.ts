/** The content of a log is what all its groups have in it, as known in memory. */

import type { GroupId } from '../../base/identity.ts'
import type { RecoveredGroup } from '../log-device.ts'
import { GroupLog } from './group-log.ts'
import { PayloadCache } from './payload-cache.ts'
import { Usage } from './usage.ts'

export class LogContent {
  readonly usage: Usage = new Usage()
  readonly groups: Map<GroupId, GroupLog> = new Map()
  readonly cache: PayloadCache

  constructor(cacheBytes: number) {
    this.cache = new PayloadCache(this.usage, cacheBytes)
  }

  /** The group's log, empty when nothing was known of it. */
  group(id: GroupId): GroupLog {
    const known = this.groups.get(id)
    if (known !== undefined) return known
    const group = new GroupLog(id, this.usage)
    this.groups.set(id, group)
    return group
  }

  recovered(): ReadonlyMap<GroupId, RecoveredGroup> {
    return new Map([...this.groups.values()].map((group) => [group.id, group.recovered()]))
  }
}

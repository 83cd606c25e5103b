/**
 * Canaries are planted bugs, each a promise of the paper or of the design broken by one line: the test of the tests.
 * `file` is below dist, `find` occurs in it exactly once, and `seeds` says within how many seeds the simulation must
 * have found it. `options` narrows the simulation to a workload, or to the faults that bring a bug to light. What no
 * simulation looks for names the `suite` that must find it instead.
 */

import { CONSENSUS_CANARIES } from './consensus-canaries.mjs'
import { COORDINATION_CANARIES } from './coordination-canaries.mjs'
import { DELETION_CANARIES } from './deletion-canaries.mjs'
import { DRAIN_CANARIES } from './drain-canaries.mjs'
import { LARGE_CANARIES } from './large-canaries.mjs'
import { LIFETIME_CANARIES } from './lifetime-canaries.mjs'
import { QUEUE_CANARIES } from './queue-canaries.mjs'
import { SHARE_CANARIES } from './share-canaries.mjs'
import { TOPIC_CANARIES } from './topic-canaries.mjs'
import { TURN_CANARIES } from './turn-canaries.mjs'
import { WATCH_CANARIES } from './watch-canaries.mjs'

export const CANARIES = [
  ...CONSENSUS_CANARIES,
  ...TURN_CANARIES,
  ...QUEUE_CANARIES,
  ...LARGE_CANARIES,
  ...LIFETIME_CANARIES,
  ...DELETION_CANARIES,
  ...DRAIN_CANARIES,
  ...COORDINATION_CANARIES,
  ...SHARE_CANARIES,
  ...TOPIC_CANARIES,
  ...WATCH_CANARIES,
]

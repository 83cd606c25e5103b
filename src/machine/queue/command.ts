/** The commands and queries of queues: driver and machine agree here on their bytes. */

/**
 * Bodies (`queue` is a name with its placement, text; times are microseconds u53):
 * - `send`
 *   `[queue, key text, flags u8, priority u8, due u53, expires u53, deduplication text, mode u8, windowMs u53, headers blob, payload blob]`:
 *   `due` 0 for now; flags: bit 0, `due` is a distance from the batch's time rather than a point; bit 1, the same of
 *   `expires` (0: never). A higher `priority` goes first, 0–9. Number: the message's id. `duplicate` with the id that
 *   has it; `full`.
 * - `acknowledge` `[queue, id u53]`. `absent` when it is gone. As a part: `fenced` when it is gone, so nothing else
 *   happens.
 * - `retry` `[queue, id u53, delayMs u53, error blob]`: attempts + 1, visible after the delay, its key waits; the
 *   message dies with reason `'attempts'` when that was the last attempt.
 * - `reject` `[queue, id u53, reason text, error blob]`: dies at once. `release` `[queue, id u53]`: back with nothing
 *   counted.
 * - `lapse` `[queue, id u53, attempts u32]`: by the leader when a lease ran out: a `retry` without a delay, only while
 *   the attempts are these.
 * - `configure` `[queue, settings]` (see {@link QueueSettings}). Number (from level 2 on): the settings that were
 *   others before, a bit for each in their order; 0 when nobody had said any. `confirm` `[queue, settings]`: the same
 *   where nobody has said any, and else nothing. `pause` `[queue, paused u8]`.
 * - `purge` `[queue, what u8, limit u32]` (0 waiting, 1 dead, 2 all), oldest first: number: how many. `move`
 *   `[queue, id u53, key text, due u53]` changes time (0: now) and key (`''`: keeps it).
 * - `redrive` `[queue, limit u32, reason text]` (`''`: any): dead letters back to waiting, oldest first, attempts 0,
 *   and they no longer expire. Number: how many. `revive` `[queue, id u53]`: the same of one.
 * - `remove` `[queue, id u53]` cancels a message, waiting or dead. `progress` `[queue, id u53, blob]`.
 * - Parts: settlements, `progress` and `result` are `fenced` when the message is gone, `move`, `remove`, `revive` and
 *   `lapse` `absent`, `send` is `full`. `retry` and `lapse` come to the number of attempts; `lapse` to `conflict` with
 *   the present one when it is another.
 * - `sendFlow` `[queue, flow text, children u16, then as send]`: a message that is due once all its children have
 *   arrived; `flow` names it to them. Number: its id; `duplicate` when the flow is there. `arrive`
 *   `[queue, flow text, child u16, result blob]`: a child's result, once each; number: how many are missing. `absent`
 *   when the flow is gone, also as a part.
 * - `upload` `[queue, upload u53, offset u53, blob]`: a piece of a payload that is too large for a command, up to 1
 *   MiB, as often as one likes; `upload` is a random number. `full` when there are too many that no message refers to.
 *   Ten minutes later it is gone, unless one does.
 * - `sendLarge` `[queue, upload u53, bytes u53, then as send]`: a message whose payload is the upload, and its own is
 *   empty. It cannot `requeue`. `conflict` when not all pieces are there.
 * - `queueDelete` `[queue, limit u32]` deletes so many messages, oldest first, and when none is left the queue with its
 *   rules and all that is known of it; what comes under its name later is another queue. Number: how many messages
 *   went. `absent` when there is no queue. Alone only. From level 2 on a message for a queue without rules is
 *   `unruled`.
 * - `result` (a part beside `acknowledge`) `[queue, id u53, keepMs u53, blob]` is kept that long for `inspect`, and
 *   announced on {@link RESULT_MAP}.
 */
export const QUEUE_COMMAND = {
  send: 64,
  acknowledge: 65,
  retry: 66,
  reject: 67,
  release: 68,
  lapse: 69,
  configure: 70,
  pause: 71,
  purge: 72,
  move: 73,
  redrive: 74,
  remove: 75,
  progress: 76,
  result: 77,
  revive: 78,
  sendFlow: 79,
  arrive: 80,
  upload: 81,
  sendLarge: 82,
  queueDelete: 83,
  confirm: 84,
} as const

/**
 * Queries: `stats` `[queue]`, `peek` `[queue, what u8, after u53, limit u32]` (0 waiting, 1 delayed, 2 dead), `inspect`
 * `[queue, id u53]`, `settings` `[queue]`, `queues` `[after text, limit u32]`, `children` `[queue, id u53, from u16]`,
 * `piece` `[queue, upload u53, offset u53]`. Answers begin `[status u8, revision u53]`, and the revision is 0; what
 * follows is in `queue-encode.ts`.
 */
export const QUEUE_QUERY = {
  stats: 64,
  peek: 65,
  inspect: 66,
  settings: 67,
  queues: 68,
  children: 69,
  piece: 70,
} as const

/**
 * How a new message with a deduplication id meets an earlier one whose window has not passed. Encoded as its position.
 * A window of 0 lasts as long as the message waits, is delayed or is held. All answer `duplicate`.
 * - `drop` is not sent, even when the earlier one is done and the window lasts on. The others are sent then.
 * - `replace` its content takes the earlier one's place in time, under a new id (the answer's number), last in its key:
 *   a worker that has the earlier content settles that, never the new one.
 * - `debounce` the same, but due when the new one is, and the window begins anew.
 * - `requeue` is not sent, but the latest of them is, once, when the earlier one is acknowledged or dies.
 */
export const DEDUPLICATION_MODES = ['drop', 'replace', 'debounce', 'requeue'] as const

/**
 * What a queue does with a message that has no room. Encoded as its position. `'block'` is the driver's: it is refused
 * as `full` and sent again.
 */
export const OVERFLOWS = ['reject', 'drop-oldest', 'block'] as const

/** Where it is announced that a message has left a result, under {@link resultKey}; what it is, `inspect` says. */
export const RESULT_MAP = '~results'

export function resultKey(queue: string, id: number): string {
  return `${queue}\0${id}`
}

/** Why a message died. */
export const DEATHS = ['attempts', 'rejected', 'expired', 'overflow', 'validation'] as const

/**
 * The rules of a queue that its machine and leader keep; the same in all shards. Limits of a queue as a whole
 * (`concurrency`, `rate`) hold across the cluster because such a queue lives in one shard. Infinity is encoded as 0.
 *
 * Layout, with a version before it: `[version u8]` then the fields in this order, numbers u53, order, overflow and
 * single u8, weights `[count u16, (key text, weight u16) …]`.
 */
export interface QueueSettings {
  /** `'key'`: one message of a key at a time, oldest first. `'none'`: as soon as there is somebody to take it. */
  readonly order: 'key' | 'none'
  /** Deliveries before a message dies. */
  readonly maxAttempts: number
  /** How long a delivery may go without an extension. */
  readonly leaseMs: number
  /** Most waiting and delayed messages of a shard. */
  readonly limit: number
  readonly overflow: (typeof OVERFLOWS)[number]
  /** Deliveries at once, of the queue and of each key. */
  readonly concurrency: number
  readonly keyConcurrency: number
  /** Deliveries in each period, of the queue and of each key: a token bucket that holds one period's worth. */
  readonly rate: number
  readonly ratePeriodMs: number
  readonly keyRate: number
  readonly keyRatePeriodMs: number
  /** How long dead letters are kept. */
  readonly deadKeepMs: number
  /** Whether drivers send all messages to one shard; the machine only tells it to others. */
  readonly single: boolean
  /** How many deliveries a key has in each of its turns, from 1; a key that is not among them has one. */
  readonly keyWeights: Readonly<Record<string, number>>
}

/** In the order of their bits in the number of `configure`. */
export const QUEUE_SETTINGS: readonly (keyof QueueSettings)[] = [
  'order',
  'maxAttempts',
  'leaseMs',
  'limit',
  'overflow',
  'concurrency',
  'keyConcurrency',
  'rate',
  'ratePeriodMs',
  'keyRate',
  'keyRatePeriodMs',
  'deadKeepMs',
  'single',
  'keyWeights',
]

/** Most keys of a queue with a weight of their own, and the highest of weights. */
export const KEY_WEIGHTS_LIMIT = 1000
export const KEY_WEIGHT_LIMIT = 1000

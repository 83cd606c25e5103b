/** A limit is a size beyond which input is refused, the same at every door. */

/** Most bytes of a key, or of the name of a map, as UTF-8. */
export const KEY_LIMIT_BYTES = 4096
/** Most bytes of an encoded value. */
export const VALUE_LIMIT_BYTES: number = 1024 * 1024
/** Most bytes of the encoded payload of a queue's message; beyond {@link VALUE_LIMIT_BYTES} it travels in pieces. */
export const PAYLOAD_LIMIT_BYTES: number = 256 * 1024 * 1024
/** Most bytes of what others see of a holder of a lock, encoded. */
export const LOCK_VALUE_LIMIT_BYTES = 1024
/** Permits of a lock: who shares it takes one of these, who holds it alone takes all. */
export const LOCK_SHARES: number = 2 ** 32 - 1
/** Longest that a lock stays shut after its holder was lost: a day. */
export const LOCK_DELAY_LIMIT_MS = 86_400_000
/** Most bytes of a command, all its parts together. */
export const COMMAND_LIMIT_BYTES: number = 8 * 1024 * 1024
/** Deepest nesting of a value. */
export const VALUE_LIMIT_DEPTH = 128

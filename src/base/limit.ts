/** A limit is a size beyond which input is refused, the same at every door. */

/** Most bytes of a key, or of the name of a map, as UTF-8. */
export const KEY_LIMIT_BYTES = 4096
/** Most bytes of an encoded value. */
export const VALUE_LIMIT_BYTES: number = 1024 * 1024
/** Most bytes of the encoded payload of a queue's message; beyond {@link VALUE_LIMIT_BYTES} it travels in pieces. */
export const PAYLOAD_LIMIT_BYTES: number = 256 * 1024 * 1024
/** Deepest nesting of a value. */
export const VALUE_LIMIT_DEPTH = 128

/** Lasting memory is a buffer that will be kept for long, as tables are made of. */

/**
 * Zeros, in memory that does not press the garbage collector. V8 starts a collection of everything after so many bytes
 * of new array buffers, however few of them are garbage: tables that fill had it collect several times a second, for a
 * quarter of an engine's processor time. Memory that threads can share is not counted. Where there is none (a page that
 * is not isolated) it is common memory.
 */
export function lastingBytes(length: number): Uint8Array {
  if (typeof SharedArrayBuffer === 'undefined') return new Uint8Array(length)
  return new Uint8Array(new SharedArrayBuffer(length))
}

/** To release a buffer is to give its memory back at once, instead of when the garbage collector finds it. */

/** Less is the garbage collector's: it costs more to give it back than to find it. */
const LEAST_BYTES = 16 * 1024
const { port1: nowhere } = closedChannel()

/**
 * Gives back the whole buffer that these bytes are a part of: from then on they, and all other views of it, are empty.
 *
 * V8 looks for array buffers that nobody needs when there are 32 MiB of them, and begins to collect everything after some
 * ten megabytes of new ones, needed or not. What a buffer transfers to a port that is closed goes nowhere, and is freed.
 */
export function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= LEAST_BYTES) nowhere.postMessage(null, [buffer])
}

function closedChannel() {
  const channel = new MessageChannel()
  channel.port2.close()
  return channel
}

/** A channel carries frames between an application and an engine: over a MessagePort, over TCP, or by a direct call. */

export interface Channel {
  /**
   * Sends one frame; the channel owns the bytes from now on. Returns false when the channel is closed or its byte
   * budget is spent: nothing was sent.
   */
  send(frame: Uint8Array): boolean
  /** Set once, before the first frame can arrive (the same turn in which the channel was handed over). */
  onFrame(handler: (frame: Uint8Array) => void): void
  /** Called once, with the reason unless it was closed from this side. */
  onClose(handler: (reason: Error | undefined) => void): void
  close(): void
}

/** A warning tells the people who run the process what is worth knowing and no error. */

/** In the way of the platform: on stderr, unless the process listens to `'warning'`. */
export function warn(message: string, code: string): void {
  process.emitWarning(message, { type: 'TroupeWarning', code })
}

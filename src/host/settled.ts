/** Settled is what a disk was asked for once it has called back; a promise, for those who may wait. */

import type { Done } from './port.ts'

/** Rejects with the error that the callback was given. */
export function settled(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === undefined ? resolve() : reject(error)))
  })
}

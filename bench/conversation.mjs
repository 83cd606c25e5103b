/** A conversation is what a process that measures and the one that has started it tell each other, in order. */

import { on, once } from 'node:events'

export class Conversation {
  #name
  #process
  #messages
  #ended

  /**
   * @param {string} name
   * @param {import('node:child_process').ChildProcess} other
   */
  constructor(name, other) {
    this.#name = name
    this.#process = other
    this.#messages = on(other, 'message')
    this.#ended = once(other, 'exit').then(() => ({ value: [{ failure: 'it ended' }] }))
  }

  get pid() {
    return Number(this.#process.pid)
  }

  /** @param {object} message */
  say(message) {
    this.#process.send(message)
  }

  /**
   * What the other says next; one that fails or ends instead is an error.
   * @returns {Promise<any>}
   */
  async heard() {
    const { value } = await Promise.race([this.#messages.next(), this.#ended])
    const [message] = value
    if (message.failure !== undefined) throw new Error(`the client of ${this.#name} failed: ${message.failure}`)
    return message
  }
}

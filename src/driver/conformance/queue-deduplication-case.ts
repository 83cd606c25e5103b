/** The promises of queues about messages that are sent again. */

import type { DeduplicationMode, OutgoingMessage } from '../contract.ts'
import { bytes, checkEqual } from './case.ts'
import { MESSAGE, only, QueueScene, type TimedConformanceCase } from './message-case.ts'

const WINDOW_MS = 60_000

function deduplicated(mode: DeduplicationMode, window = WINDOW_MS): Partial<OutgoingMessage> {
  return { deduplication: { id: 'd', mode, window } }
}

export const DEDUPLICATION_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a second message with the id is dropped and answered with the id of the first, also once that is done',
    async run(context) {
      const scene = new QueueScene(context)
      const first = await scene.send('1', deduplicated('drop'))
      const again = await scene.facet.send(scene.queue, { ...MESSAGE, ...deduplicated('drop') }, {})
      checkEqual([again.id, again.isDuplicate], [first, true], 'answer')
      checkEqual(await scene.drain(), ['1'], 'messages')
      await scene.send('3', deduplicated('drop'))
      checkEqual(await scene.drain(), [], 'messages in the window')
    },
  },
  {
    name: 'after the window of a message that is gone its id is free again',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('1', deduplicated('drop', 300))
      checkEqual(await scene.drain(), ['1'], 'messages')
      await scene.sleep(500)
      await scene.send('2', deduplicated('drop', 300))
      checkEqual(await scene.drain(), ['2'], 'messages after the window')
    },
  },
  {
    name: 'replace puts the new payload into the message that waits',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('old', deduplicated('replace'))
      await scene.send('new', deduplicated('replace'))
      checkEqual(await scene.drain(), ['new'], 'messages')
    },
  },
  {
    name: 'debounce delivers the last payload once, its delay counted from the last',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2', '3']) {
        await scene.send(text, { ...deduplicated('debounce'), delay: 600 })
        await scene.sleep(300)
      }
      checkEqual(await scene.drain(100), [], 'before the delay of the last')
      checkEqual(await scene.drain(1500), ['3'], 'messages')
    },
  },
  {
    name: 'requeue sends the message once more when the earlier one is acknowledged',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('1', deduplicated('requeue'))
      const consumer = scene.consume()
      const first = only(await scene.take(consumer, 1))
      await scene.send('2', deduplicated('requeue'))
      await scene.send('3', deduplicated('requeue'))
      await first.acknowledge({})
      await only(await scene.take(consumer, 1)).acknowledge({})
      await consumer.return?.()
      checkEqual(await scene.drain(), [], 'messages after the second')
    },
  },
  {
    name: 'requeue sends the message also when the earlier one has died',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('1', deduplicated('requeue'))
      const consumer = scene.consume()
      const first = only(await scene.take(consumer, 1))
      await scene.send('2', deduplicated('requeue'))
      await first.reject('rejected', bytes('no'), {})
      await consumer.return?.()
      checkEqual(await scene.drain(), ['2'], 'messages after the death')
    },
  },
  {
    name: 'the id of a message that was cancelled is free at once',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('1', { ...deduplicated('drop'), delay: 60_000 })
      checkEqual(await scene.facet.remove(context.name, id, {}), true, 'removed')
      await scene.send('2', deduplicated('drop'))
      checkEqual(await scene.drain(), ['2'], 'messages')
    },
  },
]

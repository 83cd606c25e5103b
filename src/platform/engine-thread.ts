/** The engine thread is the entry file of the thread in which a threaded engine runs. */

import { parentPort, workerData } from 'node:worker_threads'
import { required } from '../base/assert.ts'
import type { EngineSettings } from './engine.ts'
import { type FromEngine, plainError, type ToEngine } from './engine-message.ts'
import { type InlineEngine, startInlineEngine } from './inline-engine.ts'
import { PortChannel } from './port-channel.ts'

const parent = required(parentPort ?? undefined, 'the thread that started this one')
const tell = (message: FromEngine): void => parent.postMessage(message)

function serve(engine: InlineEngine): void {
  parent.on('message', (message: ToEngine) => {
    if (message.type === 'connect') engine.accept(new PortChannel(message.end))
    else if (message.type === 'drain') void engine.drain(message.timeout).then(() => tell({ type: 'drained' }))
    else void engine.close().finally(() => parent.close())
  })
  engine.failed.addEventListener('abort', () => tell({ type: 'failed', error: plainError(engine.failed.reason) }))
  tell({ type: 'ready', node: engine.node, cluster: engine.cluster, address: engine.address })
}

startInlineEngine(workerData as EngineSettings).then(serve, (error: unknown) => {
  tell({ type: 'failed', error: plainError(error) })
})

import { memoryDriver } from '../../src/driver/memory/memory.ts'
import { conform } from './conform.ts'

conform('memory', async () => memoryDriver())

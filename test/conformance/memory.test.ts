import { memoryDriver } from '../../src/driver/memory.ts'
import { conform } from './conform.ts'

conform('memory', async () => memoryDriver())

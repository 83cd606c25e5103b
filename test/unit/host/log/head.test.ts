import { expect, test } from 'vitest'
import { append, contents, entry, open, virtualDisk } from './scene.ts'

const SECTOR = 512

test('a log that was closed is refused without its end, but not without its marker alone', async () => {
  const disk = virtualDisk()
  const log = await open(disk)
  for (let index = 1; index <= 3; index++) append(log, 1, entry(index, 1))
  log.close()
  disk.kill()
  const closed = disk.reopen()
  const name = closed.list().findLast((file) => file.startsWith('log-')) ?? ''
  const bytes = closed.open(name).read(0, closed.open(name).size)
  const marker = Math.floor(bytes.findLastIndex((byte) => byte !== 0) / SECTOR) * SECTOR
  const unmarked = closed.clone()
  unmarked.open(name).write(0, bytes.slice().fill(0, marker))
  expect(contents(await open(unmarked), 1)).toEqual(['1@1', '2@1', '3@1'])
  closed.open(name).write(0, bytes.slice().fill(0, marker - SECTOR))
  await expect(open(closed)).rejects.toMatchObject({
    code: 'DATA_DAMAGED',
    details: { file: name, offset: marker - SECTOR },
  })
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../process/os-process.ts'

/** Rows that were accepted so far; none of them may go missing from the page. */
const ROWS = [
  'X-M1 X-M2 X-M3 X-M4 X-M7 X-N2 RAFT-M1 RAFT-M2 RAFT-M4 RAFT-M7 RAFT-M9 CAP-M1 CAP-M5',
  'QUE-M1 QUE-M2 QUE-M3 QUE-M4 QUE-M5 QUE-M6 QUE-M7 QUE-M8 QUE-M9 QUE-M10 QUE-M11 QUE-N1 QUE-N2 QUE-N4 QUE-N5 QUE-N7 QUE-Z1',
  'LCK-M1 LCK-M2 LCK-M3 LCK-M4 LCK-M5 LCK-N1 LCK-N2 LCK-N4 DUR-M1 DUR-M2 DUR-M3',
].flatMap((line) => line.split(' '))

const lines = readFileSync(join(root, 'docs/acceptance.md'), 'utf8').split('\n')
const cells = lines
  .filter((line) => /^\| (?!---|row)/.test(line))
  .map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )

test('every row has a test that shows it', () => {
  expect(cells.map(([row]) => row).filter((row) => row !== '')).toEqual(ROWS)
})

test('every test that is named exists', () => {
  const missing = cells.filter(([, , shown = '']) => {
    const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(shown) ?? []
    return title === '' || !readFileSync(join(root, file), 'utf8').includes(title)
  })
  expect(missing).toEqual([])
})

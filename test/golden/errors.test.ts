import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../src/base/error.ts'
import { golden, markdownTable } from './golden.ts'

const INTRODUCTION = `# Errors

Whatever goes wrong in Troupe is a \`TroupeError\`: a stable \`code\`, a message that names the thing and the remedy, \`details\`
for programs, and the \`cause\` where there is one. Match on the code:

\`\`\`ts
import { isTroupeError } from 'troupe'

try {
  await map.set('ann', value, { ifRevision })
} catch (error) {
  if (isTroupeError(error, 'CONFLICT')) console.log('now at', error.details.revision)
  else throw error
}
\`\`\`

\`retryable\`: the same call may succeed later without any other change. \`outcome\`: \`failed\` means that nothing was changed and
nothing will be; \`unknown\` means that it may have happened, and that \`troupe.outcome(error.details.operationId)\` can tell.
A call whose own \`AbortSignal\` aborts before anything was sent rejects with the signal's reason, untouched.

Codes are never renamed and never change their meaning; new ones may come.
`

test('the reference page of errors says what the table of codes says', () => {
  const rows = Object.entries(ERROR_CODES).map(([code, { meaning, retryable, outcome }]) => [
    `\`${code}\``,
    meaning,
    retryable ? 'yes' : 'no',
    outcome,
  ])
  const table = markdownTable(['code', 'what it means and what to do', 'retryable', 'outcome'], rows)
  const found = `${INTRODUCTION}\n${table}\n`
  expect(found).toBe(golden('docs/reference/errors.md', found))
})

test('codes and what programs may conclude from them are as committed', () => {
  const lines = Object.entries(ERROR_CODES).map(([code, { retryable, outcome }]) => {
    return `${code} ${outcome}${retryable ? ' retryable' : ''}`
  })
  const found = `${lines.sort().join('\n')}\n`
  expect(found).toBe(golden('test/golden/error-codes.txt', found))
})

test('every meaning is a sentence, or several', () => {
  for (const { meaning } of Object.values(ERROR_CODES)) expect(meaning).toMatch(/^[A-Z`].*\.$/)
})

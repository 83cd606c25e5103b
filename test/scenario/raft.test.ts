import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Command, RaftScenario } from './raft-commands.ts'
import { type Block, formatScenario, parseScenario } from './scenario-file.ts'

const FOLDER = new URL('./raft/', import.meta.url)
/** UPDATE=1 rewrites the golden answers; read the difference before you commit it. */
const IS_UPDATE = process.env.UPDATE === '1'

function parseCommand(line: string): Command {
  const [name = '', ...rest] = line.split(' ').filter((word) => word !== '')
  const isOption = (word: string): boolean =>
    /^(with|to|from|type|count|up-to|batches|learners|[a-z]+Bytes)=/.test(word)
  const options = rest.filter(isOption).map((word): [string, string] => {
    const at = word.indexOf('=')
    return [word.slice(0, at), word.slice(at + 1)]
  })
  return { name, words: rest.filter((word) => !isOption(word)), options: new Map(options) }
}

function play(parts: readonly (Block | string)[]): readonly (Block | string)[] {
  const scenario = new RaftScenario()
  return parts.map((part) =>
    typeof part === 'string'
      ? part
      : { commands: part.commands, golden: scenario.run(part.commands.map(parseCommand)) },
  )
}

describe('Raft scenarios', () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))) {
    test(file.replace('.txt', '').replaceAll('-', ' '), () => {
      const path = new URL(file, FOLDER)
      const played = formatScenario(play(parseScenario(readFileSync(path, 'utf8'))))
      if (IS_UPDATE) writeFileSync(path, played)
      expect(played).toBe(readFileSync(path, 'utf8'))
    })
  }
})

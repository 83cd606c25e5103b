/** A scenario file is prose between blocks; a block is commands, a line `----`, and the golden answer, up to an empty line. */

const RULE = '----'

export interface Block {
  readonly commands: readonly string[]
  readonly golden: readonly string[]
}

/** What stands in the file, in order: blocks, and prose as it is. */
export function parseScenario(text: string): readonly (Block | string)[] {
  return text
    .trimEnd()
    .split('\n\n')
    .map((paragraph) => {
      const lines = paragraph.split('\n')
      const rule = lines.indexOf(RULE)
      return rule < 0 ? paragraph : { commands: lines.slice(0, rule), golden: lines.slice(rule + 1) }
    })
}

export function formatScenario(parts: readonly (Block | string)[]): string {
  const paragraphs = parts.map((part) =>
    typeof part === 'string' ? part : [...part.commands, RULE, ...part.golden].join('\n'),
  )
  return `${paragraphs.join('\n\n')}\n`
}

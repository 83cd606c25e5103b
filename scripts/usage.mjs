/** The usage of a script is the comment that it begins with: printed when somebody asks for it, or for what there is not. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * The options that a script was given; ends the process with its usage where they are asked for, or wrong.
 *
 * @template {NonNullable<import('node:util').ParseArgsConfig['options']>} Options
 * @param {string} script its `import.meta.url`
 * @param {Options} options
 */
export function readOptions(script, options) {
  if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) {
    console.log(usageOf(script))
    process.exit(0)
  }
  try {
    return parseArgs({ options }).values
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usageOf(script)}`)
    process.exit(2)
  }
}

/** @param {string} script */
function usageOf(script) {
  const text = readFileSync(fileURLToPath(script), 'utf8')
  const comment = text.slice(text.indexOf('/**') + 3, text.indexOf('*/'))
  return comment.replaceAll(/^ \* ?/gm, '').trim()
}

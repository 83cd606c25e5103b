/** The public interface as committed text: `test/golden/api/` must say what the declarations of `dist` say. */

import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const update = process.argv.includes('--update')
const packageJsonFullPath = join(root, 'package.json')

/** @type {{ exports: Record<string, string | { types: string }> }} */
const { exports } = JSON.parse(readFileSync(packageJsonFullPath, 'utf8'))
const entries = Object.values(exports).flatMap((target) => (typeof target === 'string' ? [] : [target.types]))
const main = readFileSync(join(root, 'dist/index.d.ts'), 'utf8').replace(/\{[^}]*\}/g, (names) =>
  names.replace(/\s+/g, ' '),
)
const changed = entries.map((types) => join(root, types)).filter((types) => existsSync(types) && !isAsCommitted(types))

if (changed.length > 0 && !update) {
  console.error(
    'The public interface has changed. If that is meant, run `npm run api:update` and commit test/golden/api.',
  )
  process.exitCode = 1
}

/** @param {string} types the declarations of one entry */
function isAsCommitted(types) {
  const report = { logLevel: ExtractorLogLevel.None, addToApiReportFile: false }
  const config = ExtractorConfig.prepare({
    packageJsonFullPath,
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: types,
      compiler: { tsconfigFilePath: join(root, 'tsconfig.json') },
      apiReport: {
        enabled: true,
        reportFileName: basename(types, '.d.ts'),
        reportFolder: join(root, 'test/golden/api'),
        reportTempFolder: join(root, 'temp/api'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
        extractorMessageReporting: {
          default: report,
          'ae-forgotten-export': { logLevel: ExtractorLogLevel.Error, addToApiReportFile: false },
        },
        tsdocMessageReporting: { default: report },
      },
    },
  })
  const result = Extractor.invoke(config, {
    localBuild: update,
    printApiReportDiff: true,
    messageCallback: (message) => {
      if (message.messageId === 'ae-forgotten-export' && isOfMain(message.text)) {
        message.logLevel = ExtractorLogLevel.None
      }
    },
  })
  return result.succeeded && !result.apiReportChanged
}

/**
 * Whether the symbol that an entry lacks is one that `troupe` itself exports, so that a reader can name it.
 * @param {string} complaint
 */
function isOfMain(complaint) {
  const [, symbol] = /symbol "(\w+)"/.exec(complaint) ?? []
  return new RegExp(`^export .*\\b${symbol}\\b`, 'm').test(main)
}

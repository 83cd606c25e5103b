/** Runs the suites against a compiled package, such as one with a bug planted in it, instead of against `src`. */

import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = String(process.env.CANARY_ROOT ?? dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
const source = join(root, 'src/')
const dist = String(process.env.CANARY_DIST)

export default defineConfig({
  root,
  plugins: [
    {
      name: 'compiled',
      enforce: 'pre',
      async resolveId(id, importer) {
        const resolved = await this.resolve(id, importer, { skipSelf: true })
        if (!resolved?.id.startsWith(source)) return undefined
        return join(dist, relative(source, resolved.id)).replace(/\.ts$/, '.js')
      },
    },
  ],
  test: { bail: 1, testTimeout: 60_000, reporters: 'default', include: ['test/**/*.test.ts'], fileParallelism: false },
})

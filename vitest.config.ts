import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'virtual', include: ['test/**/*.test.ts'], exclude: ['test/process/**'] } },
      // Real processes share the machine's ports, disk and two cores: one file at a time, and patience.
      {
        test: {
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})

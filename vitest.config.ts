import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      // Patience with a busy machine: what runs on virtual time waits for nothing else.
      {
        test: { name: 'virtual', include: ['test/**/*.test.ts'], exclude: ['test/process/**'], testTimeout: 20_000 },
      },
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

/** The floors: a file imports its own folder and lower floors only, and type imports count. */

const floors = [
  ['base'],
  ['protocol', 'sharding', 'machine'],
  ['wire', 'telemetry'],
  ['host'],
  ['cluster'],
  ['driver'],
  ['actor', 'data', 'message'],
  ['runtime'],
  ['platform', 'simulation'],
  ['server', 'cli'],
]
const folders = floors.flat()

/** What folders may see when it is not simply "every lower floor". */
const sights = {
  machine: ['base', 'sharding'],
  actor: ['base', 'telemetry', 'driver/contract[a-z-]*'],
  data: ['base', 'telemetry', 'driver/contract[a-z-]*'],
  message: ['base', 'telemetry', 'data', 'driver/contract[a-z-]*'],
}

const engines = '(nats|etcd|rabbitmq|kafka|sqs)'
/** Where the world outside may be touched: the real ports, the engines' clients, and what a person or a browser talks to. */
const worldly = `^src/(platform/|driver/${engines}[./]|server/|cli/)`

const floorRules = folders.map((folder) => {
  const seen =
    sights[folder] ??
    floors
      .slice(
        0,
        floors.findIndex((floor) => floor.includes(folder)),
      )
      .flat()
  return forbid(
    `floor-of-${folder}`,
    `src/${folder} may import itself and: ${seen.join(', ') || 'nothing'}.`,
    { path: `^src/${folder}/` },
    { path: '^src/', pathNot: `^src/(${[folder, ...seen].join('|')})[./]` },
  )
})

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...floorRules,
    forbid(
      'every-folder-has-a-floor',
      'A new folder below src/ gets its place in the list of floors first.',
      { path: '^src/[^/]+/', pathNot: `^src/(${folders.join('|')})/` },
      {},
    ),
    forbid(
      'only-the-native-driver-sees-the-engine',
      'A driver carries the API by its contract alone; only driver/native may know the wire and the cluster.',
      { path: '^src/driver/', pathNot: '^src/driver/native[./]' },
      { path: '^src/(wire|host|cluster|driver/native)[./]' },
    ),
    forbid(
      'the-world-stays-outside',
      'Node modules belong to platform/, engine drivers, server/ and cli/, so that everything else runs in the simulator.',
      { path: '^src/', pathNot: worldly },
      { dependencyTypes: ['core'] },
    ),
    forbid('no-cycles', 'Files that need each other are one idea cut badly.', {}, { circular: true }),
    forbid('no-unresolvable', 'An import names a file or a package that is not there.', {}, { couldNotResolve: true }),
    forbid(
      'only-declared-dependencies',
      'What src/ imports at run time is a dependency of the package.',
      { path: '^src/' },
      { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'], dependencyTypesNot: ['type-only'] },
    ),
    {
      name: 'no-barrels-no-drawers',
      comment: 'A file below src/ is named after its noun: no index.ts, and no drawer such as utils or helpers.',
      severity: 'error',
      module: { path: '^src/.+/(index|utils?|helpers?|common|misc)[./]', numberOfDependentsLessThan: 100 },
      from: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
}

function forbid(name, comment, from, to) {
  return { name, comment, severity: 'error', from, to }
}

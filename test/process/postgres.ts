/** A Postgres server of a test's own: in a temporary directory, reached by a socket there, and gone afterwards. */

import { execFile, execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { OsProcess, until } from './os-process.ts'

const DEBIAN = '/usr/lib/postgresql'
/** Postgres refuses to run as root; nobody owns nothing else. */
const NOBODY = 65_534

export class Postgres {
  readonly psql: readonly [command: string, ...words: string[]]
  readonly #directory: string
  readonly #server: OsProcess

  private constructor(programs: string) {
    const user = process.getuid?.() === 0 ? NOBODY : undefined
    this.#directory = mkdtempSync(join(tmpdir(), 'troupe-postgres-'))
    if (user !== undefined) chownSync(this.#directory, user, user)
    const data = join(this.#directory, 'data')
    const as = user === undefined ? {} : { uid: user, gid: user }
    execFileSync(join(programs, 'initdb'), ['-D', data, '-U', 'test', '-A', 'trust', '-N'], { ...as, stdio: 'pipe' })
    const words = ['-D', data, '-k', this.#directory, '-c', 'listen_addresses=', '-c', 'fsync=off']
    this.#server = new OsProcess(join(programs, 'postgres'), words, {}, user === undefined ? {} : { user })
    this.psql = [
      join(programs, 'psql'),
      '-XqAt',
      '-v',
      'ON_ERROR_STOP=1',
      '-h',
      this.#directory,
      '-U',
      'test',
      '-d',
      'postgres',
    ]
  }

  /** Where its programs are; undefined where it is not installed. */
  static programs(): string | undefined {
    const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).map((version) => join(DEBIAN, version, 'bin')) : []
    const places = [...versions, ...(process.env.PATH ?? '').split(delimiter)]
    return places.find((place) => ['initdb', 'postgres', 'psql'].every((name) => existsSync(join(place, name))))
  }

  static async start(): Promise<Postgres> {
    const programs = Postgres.programs()
    if (programs === undefined) throw new Error('there is no Postgres here (Debian: apt-get install postgresql)')
    const postgres = new Postgres(programs)
    await until(() =>
      postgres.run('SELECT 1').then(
        () => true,
        () => false,
      ),
    )
    return postgres
  }

  /** What psql prints for these statements. */
  async run(sql: string): Promise<string> {
    const [command, ...words] = this.psql
    const { stdout } = await promisify(execFile)(command, [...words, '-c', sql])
    return stdout.trim()
  }

  async end(): Promise<void> {
    await this.#server.end('SIGINT')
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** The conformance suite of the key-value facet, for any test runner. */

import { CALL_CASES } from './call-case.ts'
import type { ConformanceCase } from './case.ts'
import { CONDITION_CASES, RECORD_CASES } from './record-case.ts'
import { SCAN_CASES } from './scan-case.ts'
import { WATCH_CASES } from './watch-case.ts'

/**
 * Every promise of `KeyValueFacet`, as cases to run against a driver that serves at least one node.
 *
 * @example
 * for (const { name, run } of keyValueConformance) {
 *   test(name, () => run({ driver, map: `conformance-${name.length}-${next++}`, connect: () => openMyDriver() }))
 * }
 */
export const keyValueConformance: readonly ConformanceCase[] = [
  ...RECORD_CASES,
  ...CONDITION_CASES,
  ...SCAN_CASES,
  ...WATCH_CASES,
  ...CALL_CASES,
]

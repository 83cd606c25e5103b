import { describe, expect, test } from 'vitest'
import type { EventKind } from './ledger-file.mjs'
import { type Cause, checkKey, Findings, type Incidents, type LedgerEvent } from './queue-ledger.ts'

type Step = readonly [kind: EventKind, id: number, more?: Partial<LedgerEvent>]

const CALM: Incidents = { clientKills: new Map(), nodeKills: [] }

/** A step a second; a message's serial is its id, and its deliveries are the first of process 1 unless it says otherwise. */
function check(steps: readonly Step[], incidents: Incidents = CALM): Findings {
  const findings = new Findings()
  const events = steps.map(([kind, id, more], at): LedgerEvent => {
    const subject = { key: 0, serial: id, id, delivery: id, attempt: 1, token: 1, until: 100_000, process: 1 }
    return { kind, at: at * 1_000, ...subject, ...more }
  })
  checkKey(events, incidents, findings)
  return findings
}

function duplicates(findings: Findings): readonly Cause[] {
  expect(findings.violations).toEqual([])
  return [...findings.duplicates].flatMap(([cause, count]) => Array.from({ length: count }, () => cause))
}

const done = (id: number, more: Partial<LedgerEvent> = {}): Step[] => [
  ['delivered', id, more],
  ['acknowledging', id, more],
  ['acknowledged', id, more],
]
const AGAIN = { delivery: 100, process: 2, attempt: 2 }

describe('a ledger without fault', () => {
  test('has each message delivered and acknowledged in its turn', () => {
    const findings = check([['sent', 1], ...done(1), ['sent', 2], ...done(2)])
    expect(findings).toMatchObject({ sent: 2, deliveries: 2, acknowledged: 2, isClean: true })
    expect(duplicates(findings)).toEqual([])
  })

  test('counts a failed attempt as no duplicate', () => {
    const findings = check([['sent', 1], ['delivered', 1], ['retrying', 1], ['retried', 1], ...done(1, AGAIN)])
    expect(findings).toMatchObject({ retried: 1, deliveries: 2 })
    expect(duplicates(findings)).toEqual([])
  })

  test('may have a message that is delivered before its sender hears of it', () => {
    expect(check([...done(1), ['sent', 1]]).isClean).toBe(true)
  })

  test('may lack the end of an acknowledgement whose process was killed', () => {
    const killed = { ...CALM, clientKills: new Map([[1, 3_500]]) }
    expect(
      check(
        [
          ['sent', 1],
          ['delivered', 1],
          ['acknowledging', 1],
        ],
        killed,
      ).isClean,
    ).toBe(true)
  })
})

describe('a duplicate is explained', () => {
  const first: Step[] = [
    ['sent', 1],
    ['delivered', 1],
    ['acknowledging', 1],
  ]

  test('by the death of its consumer', () => {
    const killed = { ...CALM, clientKills: new Map([[1, 2_500]]) }
    expect(duplicates(check([...first, ...done(1, AGAIN)], killed))).toEqual(['consumer killed'])
  })

  test('by another leader', () => {
    const nextTerm = { ...AGAIN, token: 2 ** 32 + 1 }
    expect(duplicates(check([...first, ['refused', 1], ...done(1, nextTerm)]))).toEqual(['leader changed'])
  })

  test('by a lease that has run out', () => {
    const short: Step[] = [
      ['sent', 1],
      ['delivered', 1, { until: 3_500 }],
      ['acknowledging', 1],
    ]
    expect(duplicates(check([...short, ['lost', 1], ...done(1, AGAIN)]))).toEqual(['lease ran out'])
  })

  test.each(['unanswered', 'failed', 'lost'] as const)("by a node's death before it was %s", (end) => {
    const killed = { ...CALM, nodeKills: [2_900] }
    expect(duplicates(check([...first, [end, 1], ...done(1, AGAIN)], killed))).toEqual(['node killed'])
  })

  test('by a send that had no answer and was made again', () => {
    const copy = { serial: 1, delivery: 2 }
    const findings = check([['unsure', 0, { serial: 1 }], ['sent', 2, { serial: 1 }], ...done(1), ...done(2, copy)])
    expect(duplicates(findings)).toEqual(['sent again without an answer'])
  })

  test('and one that came too late to settle anything is counted by itself', () => {
    const late: Step[] = [
      ['delivered', 1, AGAIN],
      ['acknowledging', 1, AGAIN],
      ['refused', 1, AGAIN],
    ]
    const findings = check([['sent', 1], ...done(1), ...late])
    expect(findings).toMatchObject({ stale: 1, isClean: true })
  })
})

describe('a violation is', () => {
  const cases: readonly (readonly [string, Partial<Findings>, readonly Step[]])[] = [
    ['a message that nobody was given', { lost: 1 }, [['sent', 1]]],
    [
      'one that was given and never acknowledged',
      { lost: 1 },
      [
        ['sent', 1],
        ['delivered', 1],
        ['acknowledging', 1],
        ['refused', 1],
      ],
    ],
    ['a newer message first', { outOfOrder: 1 }, [['sent', 1], ['sent', 2], ...done(2), ...done(1)]],
    [
      'a newer message while the older is under way',
      { outOfOrder: 1 },
      [['sent', 1], ['sent', 2], ['delivered', 1], ...done(2), ['acknowledging', 1], ['acknowledged', 1]],
    ],
    [
      'a newer message while the older waits for its next attempt',
      { outOfOrder: 2 },
      [['sent', 1], ['sent', 2], ['delivered', 1], ['retrying', 1], ['retried', 1], ...done(2), ...done(1, AGAIN)],
    ],
    [
      'an older message again',
      { outOfOrder: 1, otherwise: 0 },
      [
        ['sent', 1],
        ['sent', 2],
        ['delivered', 1],
        ['acknowledging', 1],
        ['unanswered', 1],
        ...done(2),
        ['delivered', 1, AGAIN],
      ],
    ],
    ['an id that went back', { outOfOrder: 2 }, [['sent', 2], ...done(2), ['sent', 1], ...done(1)]],
    ['a delivery after the acknowledgement', { otherwise: 2 }, [['sent', 1], ...done(1), ...done(1, AGAIN)]],
    ['one id for two sends', { otherwise: 1 }, [['sent', 1], ['sent', 1, { serial: 2 }], ...done(1)]],
    ['a settlement of what was never delivered', { otherwise: 1 }, [['acknowledged', 1], ['sent', 2], ...done(2)]],
    [
      'an attempt number that forgets a failure',
      { otherwise: 1 },
      [['sent', 1], ['delivered', 1], ['retrying', 1], ['retried', 1], ...done(1, { ...AGAIN, attempt: 1 })],
    ],
    ...(['refused', 'unanswered', 'failed', 'lost'] as const).map(
      (end) =>
        [
          `a duplicate without a cause, of one that was ${end}`,
          { unexplained: 1 },
          [['sent', 1], ['delivered', 1], [end, 1], ...done(1, AGAIN)] as Step[],
        ] as const,
    ),
    ['a copy that no send has made', { unexplained: 1 }, [['sent', 1], ...done(1), ...done(2, { serial: 1 })]],
  ]
  test('a duplicate that came before the death of a node, or long after', () => {
    const steps: Step[] = [['sent', 1], ['delivered', 1], ['lost', 1], ...done(1, AGAIN)]
    expect(check(steps, { ...CALM, nodeKills: [2_100] }).unexplained).toBe(1)
    expect(check(steps, { ...CALM, nodeKills: [-100] }).unexplained).toBe(1)
  })

  test.each(cases)('%s', (_, expected, steps) => {
    const findings = check(steps)
    expect(findings).toMatchObject({ ...expected, isClean: false })
    expect(findings.violations.length).toBeGreaterThan(0)
  })
})

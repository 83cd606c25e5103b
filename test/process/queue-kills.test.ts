import { afterEach, beforeEach, expect, test } from 'vitest'
import { ProcessCluster } from './cluster.ts'
import { type CampaignResult, QueueCampaign } from './queue-campaign.ts'

/** `npm run kills -- --queue --minutes M --messages N` sets them. */
const MINUTES = Number(process.env.QUEUE_MINUTES ?? 0.25)
const MESSAGES = Number(process.env.QUEUE_MESSAGES ?? 15_000)

const SECONDS_BETWEEN_KILLS = process.env.QUEUE_MINUTES === undefined ? 3 : 5

let cluster: ProcessCluster
beforeEach(async () => {
  cluster = await ProcessCluster.start()
})
afterEach(() => cluster.close())

test(
  `a queue, ${MESSAGES} messages, kill -9 every few seconds: none lost, none out of order, each duplicate has its cause`,
  async () => {
    const options = { messages: MESSAGES, keys: Math.min(1_000, Math.ceil(MESSAGES / 50)), seconds: MINUTES * 60 }
    const result = await new QueueCampaign(cluster, { ...options, secondsBetweenKills: SECONDS_BETWEEN_KILLS }).run()
    console.log(summary(result))
    expect(result.findings.violations).toEqual([])
    expect(result.findings.isClean).toBe(true)
    expect(result.findings.sent).toBeGreaterThanOrEqual(MESSAGES)
    expect(result.nodeKills).toBeGreaterThan(0)
  },
  120_000 + MINUTES * 240_000,
)

function summary({ findings, ...run }: CampaignResult): string {
  const { duplicates, violations, ...counts } = findings
  return JSON.stringify({
    ...run,
    ...counts,
    duplicates: Object.fromEntries(duplicates),
    violations: violations.length,
  })
}

/** A planner computes the next times of cron schedules, which only a calendar knows, and proposes them. */

import { ByteWriter } from '../../base/bytes.ts'
import { isTroupeError } from '../../base/error.ts'
import { encodeHead, NO_SESSION } from '../../machine/command.ts'
import type { ScheduleView, UnplannedSchedule } from '../../machine/leader-view.ts'
import { encodeSchedulePlan, SCHEDULE_COMMAND, scheduleKey } from '../../machine/schedule/command.ts'
import type { LeaderTime } from '../leader-time.ts'
import type { ReplyTarget } from '../source.ts'
import { planCron } from './cron.ts'

export interface PlannerPorts {
  readonly time: LeaderTime
  isActive(): boolean
  schedules(): ScheduleView
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

/** Times that are planned at once. */
const COUNT = 48
/** Plans that are under way at once: one of a rare day takes a calendar some 30 ms, in which the node does nothing else. */
const MOST_AT_ONCE = 4
const ENVELOPE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }

export class Planner {
  readonly #ports: PlannerPorts
  /** Schedules whose plan is under way, by key, with their generation. */
  readonly #underWay = new Map<string, number>()
  #version = -1

  constructor(ports: PlannerPorts) {
    this.#ports = ports
  }

  advance(): void {
    const view = this.#ports.schedules()
    if (view.version === this.#version || !this.#ports.isActive()) return
    this.#version = view.version
    for (const schedule of view.unplanned()) {
      const key = scheduleKey(schedule.queue, schedule.id)
      if (this.#underWay.size >= MOST_AT_ONCE) return
      if (this.#underWay.get(key) !== schedule.generation) this.#plan(key, schedule)
    }
  }

  move(): void {
    this.#underWay.clear()
    this.#version = -1
  }

  #plan(key: string, schedule: UnplannedSchedule): void {
    const { generation } = schedule
    const command = new ByteWriter()
    encodeHead(command, SCHEDULE_COMMAND.schedulePlan, ENVELOPE)
    encodeSchedulePlan(command, schedule, generation, this.#times(schedule))
    this.#underWay.set(key, generation)
    const reply = (): void => {
      // Whatever came of it, a schedule that is still unplanned is looked at after the next change or leadership.
      if (this.#underWay.get(key) === generation) this.#underWay.delete(key)
      this.#version = -1
    }
    this.#ports.propose({ reply }, 0, command.take())
  }

  /** One that cannot be planned never fires; the driver has refused it before, unless its version knew other expressions. */
  #times({ cron, timeZone, after }: UnplannedSchedule): readonly number[] {
    try {
      return planCron(cron, timeZone, after, COUNT)
    } catch (error) {
      if (!isTroupeError(error, 'INVALID_ARGUMENT')) throw error
      return []
    }
  }
}

/**
 * A token that a server changes while clients use it: as the token file of a pod, which is exchanged as a whole, and whose
 * former content a server then refuses.
 */
import { renameSync, writeFileSync } from "node:fs"
import type { Rotations } from "../shared/Rotation.ts"

/** A request that was judged. */
export interface Judged {
  /** What it has in common with the same request when it comes again, and with no other one at the same time. */
  readonly key: string
  readonly isUpgrade: boolean
  /** Whether its token was the right one. */
  readonly isAccepted: boolean
}

/** Changes the token, and counts what becomes of requests. */
export interface Rotation {
  readonly saw: (request: Judged) => void
  /**
   * Takes another token, unless nobody has used the one there is, or a refused request has not come again yet: tokens last
   * longer than a request takes. Whether it has.
   */
  readonly rotate: () => boolean
  /** What there was since it was asked last. */
  readonly take: () => Rotations
}

const none = { rotations: 0, refused: 0, refusedUpgrades: 0, repeated: 0 }

/** `exchange` makes the server accept another token, and nothing else, and gives it. The file has the first one at once. */
export const make = (tokenFile: string, exchange: () => string): Rotation => {
  // By their keys, the requests that were refused and have not come again, and how often each was refused.
  const waiting = new Map<string, number>()
  let counts = { ...none }
  let isUsed = false

  const write = (): void => {
    const next = `${tokenFile}.next`
    writeFileSync(next, exchange(), { mode: 0o600 })
    renameSync(next, tokenFile)
    isUsed = false
  }
  write()

  return {
    saw: ({ isAccepted, isUpgrade, key }) => {
      const times = waiting.get(key) ?? 0
      if (!isAccepted) {
        waiting.set(key, times + 1)
        counts.refused++
        if (isUpgrade) counts.refusedUpgrades++
        return
      }
      isUsed = true
      if (times === 0) return
      // One that was refused twice counts once: it has not been repeated as it should.
      waiting.delete(key)
      counts.repeated++
    },
    rotate: () => {
      if (!isUsed || waiting.size > 0) return false
      write()
      counts.rotations++
      return true
    },
    take: () => {
      const taken = counts
      counts = { ...none }
      return taken
    }
  }
}

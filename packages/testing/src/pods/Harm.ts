/**
 * The harm that real servers do to an exec or a forwarded connection, each kind with a switch. All of it is on by default: a client that passes
 * on a server without it loses data in production.
 */
import type { Era } from "./Era.ts"
import * as EraFacts from "./Era.ts"

/** What the server does besides running and forwarding. */
export interface Harm {
  /** Stdin ends, and what is on its way is dropped, once the command has closed or redirected its stdout or stderr. */
  readonly cutsStdin: boolean
  /** A command that ends with more stdin unread than `stdinPipeBytes` hold never gets a status, nor a close. */
  readonly hangsOnUnreadStdin: boolean
  /**
   * `v5`: output that is still in the server `translatorPingMillis` after the command has ended is dropped, and the
   * status becomes Success, whatever it was.
   */
  readonly losesSlowTail: boolean
  /** Milliseconds; see `losesSlowTail`. 5,000 on real servers. */
  readonly translatorPingMillis: number
  /** A command goes on when its client leaves, but for the end of its stdin. Otherwise it is killed. */
  readonly leavesCommands: boolean
  /** `v4`: a connection that is lost without a close frame takes its command with it. On in 1.36. */
  readonly lossKills: boolean
  /** Each fragment of a client's message is taken for a message of its own. Otherwise fragments are put together. */
  readonly misreadsFragments: boolean
  /**
   * The connection is closed right after the server's close frame, so that a late byte of the client resets it, and
   * what is still on its way is lost. Otherwise the server waits for the client to close.
   */
  readonly closesAtOnce: boolean
  /**
   * A forwarded connection is closed `forwardCutMillis` after the end of either side, and the client's end is not passed
   * on to the pod. Otherwise it is, and each side ends by itself.
   */
  readonly cutsForwards: boolean
  /** Milliseconds; see `cutsForwards`. 1,000 on real servers. */
  readonly forwardCutMillis: number
}

/** Switches to set; the others are as in the era. `none` is a server that does no harm. */
export type Options = { readonly [K in keyof Harm]?: Harm[K] | undefined } | "none"

const translatorPingMillis = 5_000
const forwardCutMillis = 1_000

const none: Harm = {
  cutsStdin: false,
  hangsOnUnreadStdin: false,
  losesSlowTail: false,
  translatorPingMillis,
  leavesCommands: false,
  lossKills: false,
  misreadsFragments: false,
  closesAtOnce: false,
  cutsForwards: false,
  forwardCutMillis
}

/** The harm of an era, with changes. */
export const make = (era: Era, options: Options = {}): Harm => {
  if (options === "none") return none
  return {
    cutsStdin: options.cutsStdin ?? true,
    hangsOnUnreadStdin: options.hangsOnUnreadStdin ?? true,
    losesSlowTail: options.losesSlowTail ?? true,
    translatorPingMillis: options.translatorPingMillis ?? translatorPingMillis,
    leavesCommands: options.leavesCommands ?? true,
    lossKills: options.lossKills ?? EraFacts.facts[era].lossKills,
    misreadsFragments: options.misreadsFragments ?? true,
    closesAtOnce: options.closesAtOnce ?? true,
    cutsForwards: options.cutsForwards ?? true,
    forwardCutMillis: options.forwardCutMillis ?? forwardCutMillis
  }
}

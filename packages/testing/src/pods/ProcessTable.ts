/**
 * The local processes of a cluster: which live now, whose they are, and how to end all of them.
 *
 * A process belongs to the container that it, or an ancestor of it, was started in. It is known by its session, which a
 * command leads and its descendants share, or, when it has made itself a session of its own, by the container's
 * directory in its environment. On Linux all of this is read from `/proc`; elsewhere only the commands themselves are
 * known, and their groups.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** Whose a process is. */
export interface Owner {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  /** The exec that started it; absent for the container's own command. */
  readonly exec?: string | undefined
}

/** A local process. */
export interface LocalProcessInfo extends Owner {
  readonly pid: number
  /** Its process group. */
  readonly group: number
  readonly argv: ReadonlyArray<string>
}

/** A command whose process leads a session. */
export interface Leader {
  readonly pid: number
  readonly owner: Owner
  /** The directory of its container: what its environment has as `HOME`. */
  readonly home: string
  readonly argv: ReadonlyArray<string>
  readonly hasEnded: () => boolean
}

/** The processes of a cluster. */
export interface ProcessTable {
  readonly add: (leader: Leader) => void
  /** The processes that live now. */
  readonly list: () => ReadonlyArray<LocalProcessInfo>
  /** Kills the processes of a container by its directory, or all; says how many there were. */
  readonly kill: (home?: string) => number
}

interface Running {
  readonly pid: number
  readonly group: number
  readonly session: number
}

// `pid (name) state ppid pgrp session ...`; the name may hold anything, parentheses too.
const parseStat = (text: string): Running | undefined => {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  const [state, , group, session] = fields
  return state === "Z" || state === "X"
    ? undefined
    : { pid: Number.parseInt(text, 10), group: Number(group), session: Number(session) }
}

const read = (path: string): string => {
  try {
    return Fs.readFileSync(path, "latin1")
  } catch {
    // It has ended, or is not ours to look at.
    return ""
  }
}

const proc = "/proc"

const running = (): ReadonlyArray<Running> =>
  Fs.readdirSync(proc).filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const stat = read(Path.join(proc, name, "stat"))
    return stat === "" ? [] : parseStat(stat) ?? []
  })

const homeOf = (pid: number): string | undefined =>
  read(Path.join(proc, String(pid), "environ")).split("\0").find((entry) => entry.startsWith("HOME="))?.slice(5)

const argvOf = (pid: number): ReadonlyArray<string> =>
  Buffer.from(read(Path.join(proc, String(pid), "cmdline")), "latin1").toString().split("\0").slice(0, -1)

const signal = (target: number): void => {
  try {
    process.kill(target, "SIGKILL")
  } catch {
    // It has ended.
  }
}

/** A table of no processes yet. */
export const make = (): ProcessTable => {
  const hasProc = process.platform === "linux"
  let leaders: Array<Leader> = []
  // Containers by their directories, for as long as they may have processes.
  const homes = new Map<string, Leader>()

  const listLeaders = (): ReadonlyArray<LocalProcessInfo> =>
    leaders.filter((leader) => !leader.hasEnded())
      .map(({ argv, owner, pid }) => ({ ...owner, pid, group: pid, argv }))

  const found = (): ReadonlyArray<readonly [Running, Leader]> => {
    const all = running()
    const pids = new Set(all.map(({ pid }) => pid))
    const sessions = new Set(all.map(({ session }) => session))
    // A leader that has ended is of interest while its session lives on. Its number is not given to another process so
    // long; once another has it, the session is over.
    leaders = leaders.filter((leader) => leader.hasEnded() ? sessions.has(leader.pid) && !pids.has(leader.pid) : true)
    const bySession = new Map(leaders.map((leader) => [leader.pid, leader]))
    return all.flatMap((one) => {
      const home = bySession.has(one.session) ? undefined : homeOf(one.pid)
      const leader = bySession.get(one.session) ?? (home === undefined ? undefined : homes.get(home))
      return leader === undefined ? [] : [[one, leader] as const]
    })
  }

  return {
    add: (leader) => {
      leaders.push(leader)
      if (!homes.has(leader.home)) homes.set(leader.home, leader)
    },
    list: () => {
      if (!hasProc) return listLeaders()
      return found().map(([{ group, pid }, { owner }]) => ({ ...owner, pid, group, argv: argvOf(pid) }))
    },
    kill: (home) => {
      const isMeant = (leader: Leader): boolean => home === undefined || leader.home === home
      for (const leader of leaders) if (isMeant(leader) && !leader.hasEnded()) signal(-leader.pid)
      if (!hasProc) return listLeaders().length
      const members = found().filter(([, leader]) => isMeant(leader))
      for (const [{ pid }] of members) signal(pid)
      if (home !== undefined && members.length === 0) homes.delete(home)
      return members.length
    }
  }
}

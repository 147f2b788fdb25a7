import type { ErrorCode } from '../../../src/errors.ts'

/** What a scripted job process does, one step after the other. */
export type Step =
  | { readonly do: 'stage'; readonly name: string }
  /** Tells its pid in the job's events. */
  | { readonly do: 'tell' }
  | { readonly do: 'pause'; readonly ms: number }
  /** Waits until it is told to stop. */
  | { readonly do: 'hang' }
  /** Waits whatever it is told. */
  | { readonly do: 'ignore' }
  | { readonly do: 'fail'; readonly code: ErrorCode }
  /** kill -9 of itself. */
  | { readonly do: 'die' }
  /** kill -9 of the worker it belongs to. */
  | { readonly do: 'kill-worker' }
  | { readonly do: 'crash' }
  | { readonly do: 'hog' }
  | { readonly do: 'rubbish' }
  /** Publishes a result, fenced. */
  | { readonly do: 'publish' }

/** Steps of the first attempt, of the second, …; the last ones serve all further attempts. */
export type Script = readonly (readonly Step[])[]

export interface ScriptedSettings {
  readonly connectionString: string
}

/** What one serve process says of a cascade, under its small version. */
export interface CascadeFigures {
  readonly rows: number
  /** Rows that the large version answered. */
  readonly forwarded: number
}

/** The topic of these figures in a row. */
export const cascadeTopic = 'cascade'

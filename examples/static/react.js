/** The page's `react`: what the vendored script put on the window, as the module that the hooks import. */
export const {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} = globalThis.React;

// The dashboard's types, as Grafana publishes them: every field has to be one that it knows.
import type { Dashboard, FieldConfig, FieldConfigSource, Panel } from '@grafana/schema';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has an enumeration's values, not its members.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// The query of a data source of the type `prometheus`.
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table';
  instant?: boolean;
  range?: boolean;
}

interface PanelOf<Type, Options, Custom> extends Omit<Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> {
  type: Type;
  targets: Query[];
  options: Options;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom: Partial<Custom> } };
}

type Ours = Omit<Dashboard, 'panels'> & {
  panels: (
    | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>
    | PanelOf<'table', table.Options, table.FieldConfig>
  )[];
};

// The compiler sees a misspelt field, a value that a field cannot have, and one of another type.
type Custom = Json<Partial<timeseries.FieldConfig>>;
// @ts-expect-error
export const misspelt: Custom = { linewidth: 2 };
// @ts-expect-error
export const impossible: Custom = { drawStyle: 'lines' };
// @ts-expect-error
export const untyped: Partial<Json<Ours>> = { refresh: 5 };

export const dashboard: Json<Ours> =

"""The base vocabulary as a table in text: 138 electrodes whose ids never move.

Columns: id, name, x, y, z in millimetres, further names of the same place. Rows 0 to 129 are the positions of
BrainProducts' 128-channel cap in the order of MNE's montage `brainproducts-RNP-BA-128`; then T9, T10, PO5, PO6,
CB1, CB2, M1, M2.

Positions are in MNE's head frame (x through the preauricular points to the right, y through the nasion to the
front, z up), taken from one source, MNE's montage `colin27_1005` (the 5 % system on the Colin 27 head), and rounded
to 0.1 mm. CB1 and CB2 have no place in the 5 % system: the literature puts them on I1/I2, caps put them beside
O1/O2 at the height of PO9/PO10, so their row is the midpoint of the two, an estimate.

Further names: the old 10-20 names (T3 = T7, T4 = T8, T5 = P7, T6 = P8) and those names of the Berlin BCI group that
mean one place only (CFC3 = FCC3h, PCP1 = CPP1h, FAF5 = AFF5h). A1 and A2 are ear lobes, M1 and M2 mastoids: no
aliases of each other; a manifest may say that its A1 is M1.
"""

from __future__ import annotations

__all__ = ["BASE_TABLE", "POSITION_SOURCE", "ESTIMATED"]

POSITION_SOURCE = "colin27_1005 of MNE-Python, head frame"

ESTIMATED = {"CB1": "estimate: midpoint of PO9 and I1", "CB2": "estimate: midpoint of PO10 and I2"}

BASE_TABLE = """\
  0 Fp1      -30.9  114.6   27.9
  1 Fz        -1.2   93.3  102.6
  2 F3       -51.8   86.7   78.7
  3 F7       -71.9   73.1   25.8
  4 F9       -71.7   70.1  -12.6
  5 FC5      -78.9   51.4   63.0
  6 FC1      -35.7   61.7  118.0
  7 C3       -67.1   23.4  104.5
  8 T7       -86.0   14.9   31.2  T3
  9 CP5      -81.5  -13.3   73.1
 10 CP1      -37.4  -10.8  133.4
 11 Pz        -1.7  -45.2  126.7
 12 P3       -55.0  -44.2   99.9
 13 P7       -74.5  -42.1   41.3  T5
 14 P9       -75.0  -44.6    2.8
 15 O1       -31.6  -80.6   54.8
 16 Oz        -2.1  -82.8   60.7
 17 O2        27.7  -80.5   54.7
 18 P10       71.9  -45.8    2.7
 19 P8        71.0  -42.3   41.2  T6
 20 P4        53.6  -44.3  100.5
 21 CP2       36.5  -10.9  132.8
 22 CP6       81.4  -13.5   73.4
 23 T8        83.3   15.3   31.0  T4
 24 C4        65.3   23.6  103.7
 25 Cz        -1.4   27.6  140.2
 26 FC2       33.1   61.8  116.8
 27 FC6       77.8   52.1   62.9
 28 F10       70.5   70.0  -13.2
 29 F8        71.4   74.5   25.1
 30 F4        50.3   87.4   77.3
 31 Fp2       28.4  115.3   27.7
 32 AF7      -56.4   99.2   25.1
 33 AF3      -35.2  109.1   56.4
 34 AFz       -1.2  113.7   70.4
 35 F1       -29.0   91.4   96.6
 36 F5       -66.1   80.2   53.8
 37 FT7      -82.5   44.8   27.7
 38 FC3      -61.9   57.1   93.8
 39 C1       -37.9   26.3  129.8
 40 C5       -82.1   19.3   69.5
 41 TP7      -86.8  -15.0   35.2
 42 CP3      -65.5  -11.9  107.8
 43 P1       -30.7  -44.9  119.5
 44 P5       -69.3  -43.2   72.3
 45 PO7      -56.9  -65.9   47.9
 46 PO3      -38.6  -67.4   82.4
 47 Iz        -2.2  -88.6   23.3
 48 POz       -1.9  -68.1   95.9
 49 PO4       34.7  -67.7   81.6
 50 PO8       53.6  -66.4   47.9
 51 P6        65.9  -43.3   71.9
 52 P2        29.9  -45.0  120.7
 53 CPz       -1.5  -10.5  141.5
 54 CP4       64.7  -12.0  107.7
 55 TP8       83.6  -15.1   35.1
 56 C6        81.7   19.7   69.5
 57 C2        35.9   26.4  128.4
 58 FC4       60.6   57.7   93.8
 59 FT8       80.1   45.6   27.4
 60 F6        66.3   81.5   53.1
 61 F2        28.0   91.9   95.8
 62 AF4       34.2  109.8   57.1
 63 AF8       54.2   99.8   24.9
 64 AFF3h    -35.8  101.8   76.8  FAF3
 65 FFC1h    -17.0   79.1  114.7
 66 FFC5h    -66.9   69.7   73.6
 67 FT9      -85.8   43.1  -11.6
 68 FTT7h    -84.1   32.7   48.1  CFC7
 69 FCC3h    -52.8   42.7  113.4  CFC3
 70 CCP1h    -20.2    8.4  139.3
 71 CCP5h    -78.3    4.5   90.4
 72 TP9      -87.6  -17.6   -3.4
 73 TPP7h    -78.7  -28.6   55.9  PCP7
 74 CPP3h    -48.9  -29.1  118.4  PCP3
 75 PPO3h    -38.0  -57.2  100.2
 76 PPO9h    -66.7  -57.3   25.6
 77 POO1     -15.8  -76.1   78.6
 78 PO9      -57.0  -68.6    9.7
 79 I1       -32.0  -84.8   16.9
 80 I2        27.6  -84.7   16.9
 81 PO10      52.9  -69.0    9.7
 82 POO2      11.5  -76.1   76.7
 83 PPO10h    62.9  -57.9   25.6
 84 PPO4h     35.7  -57.3  101.4
 85 CPP4h     48.7  -29.2  119.3  PCP4
 86 TPP8h     76.5  -28.8   55.9  PCP8
 87 TP10      84.2  -18.8   -3.5
 88 CCP6h     77.1    4.7   90.8
 89 CCP2h     18.4    8.5  139.2
 90 FCC4h     50.2   42.9  112.5  CFC4
 91 FTT8h     82.1   33.2   48.0  CFC8
 92 FT10      82.4   42.3  -11.7
 93 FFC6h     65.5   70.6   72.7
 94 FFC2h     16.0   79.4  114.8
 95 AFF4h     34.7  102.3   76.9  FAF4
 96 AFp1     -13.7  118.0   48.9
 97 AFF1h    -12.9  104.6   85.9  FAF1
 98 AFF5h    -52.3   96.5   59.0  FAF5
 99 FFT7h    -76.2   62.9   42.7
100 FFC3h    -46.0   75.4   98.9
101 FCC1h    -19.9   45.5  131.5  CFC1
102 FCC5h    -76.4   38.2   84.6  CFC5
103 TTP7h    -87.4    1.5   52.5
104 CCP3h    -54.8    7.0  121.4
105 CPP1h    -17.8  -29.2  134.3  PCP1
106 CPP5h    -70.1  -28.9   90.3  PCP5
107 TPP9h    -80.1  -30.6   19.3
108 PPO5h    -56.1  -56.4   82.0
109 PPO1h    -14.1  -57.6  110.2
110 POO9h    -45.0  -77.4   32.6
111 OI1h     -17.0  -87.0   39.4
112 OI2h      12.9  -87.2   39.4
113 POO10h    41.7  -78.8   32.6
114 PPO2h     11.8  -57.7  111.7
115 PPO6h     52.5  -56.5   81.6
116 TPP10h    76.9  -31.4   19.3
117 CPP6h     69.1  -29.0   90.4  PCP6
118 CPP2h     17.4  -29.2  135.6  PCP2
119 CCP4h     53.3    7.1  121.5
120 TTP8h     84.1    1.7   52.5
121 FCC6h     75.3   38.7   84.6  CFC6
122 FCC2h     17.1   45.4  130.5  CFC2
123 FFC4h     44.3   75.9   97.8
124 FFT8h     76.4   64.0   42.2
125 AFF6h     50.9   97.2   58.7  FAF6
126 AFF2h     12.0  105.0   86.7  FAF2
127 AFp2      12.2  118.5   50.0
128 FCz       -1.3   63.5  126.6
129 Fpz       -1.3  119.1   32.9
130 T9       -87.7   12.9   -7.7
131 T10       83.7   11.7   -7.7
132 PO5      -50.5  -66.7   66.8
133 PO6       47.7  -67.1   66.9
134 CB1      -44.5  -76.7   13.3
135 CB2       40.2  -76.9   13.3
136 M1       -88.0  -17.4  -25.7
137 M2        83.9  -18.0  -25.8
"""
